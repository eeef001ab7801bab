"""What the Snakefile imports: the configuration, the cases to run, and the files that scripts reach. No PyTorch."""
