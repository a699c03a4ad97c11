"""What conversion costs against layers written by hand."""
