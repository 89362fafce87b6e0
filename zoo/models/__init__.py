"""Model families of our own and bundled ones: one file each."""
