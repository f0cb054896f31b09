"""The running kernel as the judge: programs of system calls, and what is seen of them."""
