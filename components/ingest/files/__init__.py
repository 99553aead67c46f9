"""The user's files, whatever their format: found, cut into parts, read as typed Arrow record batches."""
