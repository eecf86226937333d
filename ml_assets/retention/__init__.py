"""What is kept for how long, where data of a person or another entity lies, and how both leave."""
