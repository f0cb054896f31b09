"""The claims: design debates and historic bugs of the page-table layer."""
