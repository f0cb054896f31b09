"""Error numbers: include/uapi/asm-generic/errno-base.h and errno.h."""

from __future__ import annotations

EPERM = 1
EBADF = 9
EAGAIN = 11
ENOMEM = 12
EACCES = 13
EFAULT = 14
EBUSY = 16
EEXIST = 17
ENODEV = 19
EINVAL = 22
EFBIG = 27
EOVERFLOW = 75
EOPNOTSUPP = 95
