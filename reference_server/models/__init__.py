"""What is computed: shapes, weights in float or 8 bits, tokenizers, and the folders that hold them."""
