"""What YAML files and the environment may say: typed, checked on reading; imports nothing else of this project."""
