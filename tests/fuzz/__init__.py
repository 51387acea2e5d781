"""Looking for inputs that nobody thought of.

Two ways: hypothesis builds what is nearly right from grammars, and atheris, where it installs, follows the
code's branches from the inputs in corpus/. `--fuzz-seconds N` gives each target of the latter more time.
What either finds goes into corpus/ and stays a test.
"""
