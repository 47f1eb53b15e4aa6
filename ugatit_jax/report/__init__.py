"""What people look at: HTML pages, and images drawn for them.

Every page is one self-contained file, a template of templates/ filled by html.py:
- run.html is WORKDIR/report.html, written by run_page.py (parts in run_*.py, panels.py, curves.py; run_page_writer.py calls
  it in training);
- evaluation.html is written by ugatit_jax.evaluate.results, compare.html by ugatit_jax.translate.comparison_page.
"""
