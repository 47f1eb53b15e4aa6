"""Networks of U-GAT-IT as linen modules; nothing here knows of training or of TensorFlow."""
