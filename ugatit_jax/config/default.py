"""Every field with its default and the reason for it. Files of configs/ change a few, the command line any of them:

    python -m ugatit_jax.main --config=configs/default.py --workdir=DIR --config.data.source=folder:PATH

A field "as the reference" gets its value from `model.reference` (see ugatit_jax/config/reference.py) unless it is set.
"""

from ml_collections import config_dict
from ml_collections.config_dict import placeholder


def get_config() -> config_dict.ConfigDict:
    """The default config: the paper's light model at 256x256 on synthetic faces, which need no download."""
    config = config_dict.ConfigDict()
    config.seed = 0  # of every random number of a run: initial weights, order of images, augmentation
    config.init_from = ''  # fine-tuning: WORKDIR or WORKDIR/checkpoints/STEP whose weights a new run starts from

    config.data = data = config_dict.ConfigDict()
    data.source = 'synthetic:faces'  # folder:PATH | tfds:NAME[/CONFIG] | prepared:PATH | emoji | synthetic:faces
    data.image_size = 256  # side of the square that the networks see; the paper's
    data.batch_size = 1  # global, over all devices; the paper's
    data.channels_A = 3  # images are converted to it: 1 grey, 3 RGB, 4 RGBA, other numbers from .npy files
    data.channels_B = 3  # may differ from A only without identity and CAM losses, which feed images of A to genB2A
    data.max_bad_fraction = 0.01  # unreadable files up to this share are skipped; more look like a failed download: an error
    data.load_size = placeholder(int)  # side that crops are taken from; as the reference (256: 271 paper, 286 pytorch)
    data.fit = 'stretch'  # how other shapes become square: 'stretch' (the releases) | 'short_side_crop' | 'pad'
    data.background = (255, 255, 255)  # RGB (0..255) behind transparent pixels and around padded images
    data.paired_test = placeholder(bool)  # test images of A and B are true pairs by name; unset: where all names are equal
    data.swap = False  # exchange A and B on disk: tfds:cycle_gan/vangogh2photo read as photo2vangogh
    data.data_dir = placeholder(str)  # where TFDS keeps its data sets; unset: ~/tensorflow_datasets
    data.download = True  # let TFDS download what is not in data_dir; False is an error instead
    data.head_margin = 0.25  # of tfds:oxford_iiit_pet: margin around the head box, as a share of its sides
    data.cache_mb = 2048.0  # decoded images of both domains are kept in memory up to this; above it each epoch decodes
    data.cache_dir = placeholder(str)  # keep decoded images in a file in this folder instead, also for later runs
    data.workers = placeholder(int)  # threads that read and decode; unset: one per core. More help with remote files
    data.device_resident = False  # all images in device memory, sampled and augmented in the compiled step: no host input
    data.device_resident_mb = 4096.0  # device_resident is an error above this, or above the device's free memory

    config.augment = augment = config_dict.ConfigDict()
    augment.flip = 0.5  # probability of a horizontal flip; as the releases
    augment.crop = True  # random crops of image_size from load_size, as the releases; False resizes to image_size
    augment.brightness = 0.0  # factor within 1 +- this; off in the releases
    augment.contrast = 0.0  # factor within 1 +- this; off in the releases
    augment.saturation = 0.0  # factor within 1 +- this, three channels only; off in the releases
    augment.translate = 0.0  # shift by up to this share of the side, mirrored at the border; off in the releases
    augment.diffaugment = ''  # on what discriminators see: 'color,translation,cutout' or some of them, for small data sets

    config.model = model = config_dict.ConfigDict()
    model.reference = 'paper'  # 'paper' (TensorFlow release, made the paper's numbers) | 'pytorch' (the later release)
    model.ch = 64  # channels of the first layer; the paper's. Parameters and FLOPs grow with its square
    model.n_res = 4  # residual blocks in the encoder and in the decoder; the paper's
    model.mlp_pool = '1'  # gamma and beta see '1' global average (light) | 'k' k x k averages | 'full' map (671 M weights)
    model.n_down = 2  # halvings of the sides before the residual blocks, each doubles the channels; the paper's
    model.separable = False  # 3x3 convolutions of the generators as depthwise and 1x1: a ninth of the work, for students
    model.stem_kernel = 7  # of the generators' first and last convolution; the paper's. Smaller ones for students
    model.pixel_unshuffle = 1  # 2: generators see half of the sides, 2x2 pixels as channels: fewer large maps, for students
    model.image_skip = False  # the generators' last convolution sees the image, too: for students, keeps colours and lines
    model.discriminator_ch = 0  # channels of the discriminators' first layer; 0: model.ch, the paper's
    model.n_layers_global = 7  # depth of disGA, disGB; the paper's. Needs 96 pixels; 6 needs 48, 5 needs 24
    model.n_layers_local = 5  # depth of disLA, disLB; the paper's
    model.decoder_norm = 'adalin'  # the paper's; its ablations: 'in' | 'ln' | 'adain' | 'gn' (models/decoder_norm.py)
    model.up_norm = 'lin'  # of the up-sampling stages; the paper's. 'in' | 'ln' | 'gn'
    model.norm_groups = 32  # groups of 'gn'; its authors'. Divides the channels: 4 ch in the decoder, ch in the last stage
    model.stem_norm = True  # instance norm after the generators' first convolution; the paper's. False keeps flat colours
    model.generator_cam = True  # CAM attention in the generators; the paper's. False needs loss.cam_weight=0
    model.discriminator_cam = True  # CAM attention and CAM logits in the discriminators; the paper's
    model.spectral_norm = True  # of the discriminators; both releases'
    model.instance_norm_affine = placeholder(bool)  # learned scale and offset in the encoder's norms; as the reference
    model.generator_bias = placeholder(bool)  # bias in generator convolutions and the gamma/beta MLP; as the reference
    model.discriminator_head_bias = placeholder(bool)  # bias in the discriminators' last convolution; as the reference
    model.cam_shared = placeholder(bool)  # one CAM classifier for average and max pool; as the reference
    model.cam_bias = placeholder(bool)  # bias in the CAM classifier, added to the attention weights too; as the reference
    model.cam_attention_normalized = placeholder(bool)  # discriminator attention by W/sigma, not W; as the reference
    model.rho_init = placeholder(float)  # initial rho of the decoder's AdaLIN; as the reference
    model.rho_smoothing = placeholder(float)  # AdaLIN uses clip(rho - this, 0, 1); as the reference
    model.variance_ddof = placeholder(int)  # variances of AdaLIN and LIN are divided by n - this; as the reference
    model.down_padding = placeholder(tuple)  # reflect (before, after) of the 3x3 stride 2 convolutions; as the reference
    model.patch_padding = placeholder(tuple)  # reflect (before, after) of the 4x4 stride 1 convolutions; as the reference
    model.mlp_width = placeholder(int)  # hidden width of the gamma/beta MLP; as the reference
    model.weight_init = placeholder(str)  # 'normal' N(0, 0.02) | 'torch' uniform(+-1/sqrt(fan_in)); as the reference

    config.loss = loss = config_dict.ConfigDict()
    loss.adversarial = 'lsgan'  # the paper's. 'gan' | 'hinge' | 'wgan-gp' | 'wgan-lp' | 'dragan', the TensorFlow release's
    loss.gradient_penalty_weight = placeholder(float)  # of wgan-gp, wgan-lp, dragan; unset: 10, the TensorFlow release's
    loss.adversarial_weight = 1.0  # the paper's
    loss.cycle_weight = 10.0  # the paper's
    loss.identity_weight = 10.0  # the paper's
    loss.cam_weight = 1000.0  # the paper's
    # of one direction: A2B is of the losses of genA2B (of fake_B, idt_B and its CAM), of the cycle A -> B -> A (rec_A), and
    # of the discriminators of B; unset: the weight above, as in the paper
    loss.adversarial_weight_A2B = placeholder(float)  # unset: loss.adversarial_weight
    loss.adversarial_weight_B2A = placeholder(float)  # unset: loss.adversarial_weight
    loss.cycle_weight_A2B = placeholder(float)  # unset: loss.cycle_weight
    loss.cycle_weight_B2A = placeholder(float)  # unset: loss.cycle_weight
    loss.identity_weight_A2B = placeholder(float)  # unset: loss.identity_weight
    loss.identity_weight_B2A = placeholder(float)  # unset: loss.identity_weight
    loss.cam_weight_A2B = placeholder(float)  # unset: loss.cam_weight
    loss.cam_weight_B2A = placeholder(float)  # unset: loss.cam_weight

    config.distill = distill = config_dict.ConfigDict()
    distill.teacher = ''  # WORKDIR or model folder whose images the generators learn (docs/distill.md); '' is none
    distill.teacher_checksum = ''  # of its weights; the run sets it, and refuses to continue with another teacher
    distill.l1_weight = 10.0  # mean absolute difference of a translation from the teacher's
    distill.feature_weight = 10.0  # the same of what the encoder of the teacher's other generator sees in both

    config.optimizer = optimizer = config_dict.ConfigDict()
    optimizer.learning_rate = 1e-4  # the paper's
    optimizer.learning_rate_D = placeholder(float)  # of the discriminators (TTUR); unset: learning_rate
    optimizer.batch_scaling = 'none'  # both rates times data.batch_size ('linear') or its square root ('sqrt')
    optimizer.decay = 'linear'  # of both rates: 'linear' to 0, the releases' | 'cosine' to 0 over the whole run | 'constant'
    optimizer.decay_start = placeholder(float)  # share of the run before linear decay; unset: 0.5, the releases'
    optimizer.clip_norm = 0.0  # largest norm of gradients, of both generators and of all discriminators; 0 is off
    optimizer.beta1 = 0.5  # the paper's
    optimizer.beta2 = 0.999  # the paper's
    optimizer.eps = 1e-8  # both releases'
    optimizer.eps_mode = placeholder(str)  # Adam adds eps 'before_correction' or 'after_correction'; as the reference
    optimizer.weight_decay = 1e-4  # the paper's; see weight_decay_mode
    optimizer.weight_decay_mode = placeholder(str)  # 'kernel_l2' in the loss | 'coupled' in Adam, on all; as the reference
    optimizer.decay_epochs = placeholder(int)  # epochs of a staircase decay over the run, 0: every step; as the reference

    config.training = training = config_dict.ConfigDict()
    training.steps = 1_000_000  # the paper's; the learning rate decays linearly to 0 over the second half
    training.compute_dtype = 'float32'  # of convolutions and activations; parameters, statistics, losses stay float32
    training.scan_blocks = placeholder(bool)  # residual blocks in jax.lax.scan, which compiles faster; unset: not on a GPU
    training.n_critic = 1  # discriminator updates per generator update, each on its own batch; the paper's
    training.separate_batches = False  # generators get their own batch, as in the TensorFlow release; costs a forward
    training.accumulate = 1  # microbatches of a batch, for gradient accumulation: less memory, the same numbers
    training.remat = False  # recompute activations in the backward pass: less memory, more time
    training.shard_params = False  # FSDP: weights and optimizer state sharded over the devices, for the full model
    training.on_nan = 'stop'  # at a non-finite loss or gradient; 'restore' goes back to the last checkpoint once
    training.ema_decay = 0.0  # of a moving average of the generators; 0 is off, as in both releases
    training.ema_warmup = False  # ema_decay is at most (1 + step) / (10 + step): for short runs
    training.log_every = 100  # steps between lines of metrics.jsonl, TensorBoard and the progress line
    training.checkpoint_every = 5_000  # steps between checkpoints; a killed run loses at most these
    training.keep_checkpoints = 3  # newest checkpoints that are kept; the full model takes 10 GB each
    training.keep_every = 0  # also keep the checkpoints of every this many steps; 0 is off
    training.keep_best = ''  # also keep the one with the smallest metric of this name, or the largest: '-domain_accuracy'
    training.preview_every = 1_000  # steps between preview grids; there is always one of step 0 and of the last
    training.preview_images = 4  # rows of a preview grid in each direction
    training.profile_steps = ''  # 'a:b': trace steps a to b for TensorBoard's Profile page

    config.evaluation = evaluation = config_dict.ConfigDict()
    evaluation.every = 5_000  # steps between evaluations in training, as between checkpoints; 0 is never
    evaluation.images = 100  # test images of each domain in training, evenly spaced; --mode=eval takes all
    evaluation.batch_size = 8  # global, over all devices; changes no metric
    evaluation.protocol = 'fidelity'  # of KID and FID: 'fidelity' | 'ugatit' (the authors' tool) | 'clean'
    evaluation.effnet = placeholder(bool)  # kid_effnet, truth_perceptual; unset: where the extra [perceptual] is installed
    evaluation.inception_weights = ''  # file; unset: the one in ~/.cache/ugatit_jax, if there; 'none': no KID and FID
    return config
