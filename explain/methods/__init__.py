"""The attribution methods: one file each."""
