"""What is known to be wrong with the packages that production installs."""
