"""What `edtalk bake-many` does: the file of jobs, one queue for all shots, and the record of finished frames."""
