/* Programs of Debian's archive, each with the libraries it needs, for container images. */
#ifndef LAB_DEBIAN_H
#define LAB_DEBIAN_H

#include "tests/lab/lab/image/archive.h"

/* The file PROGRAM of the root, at the same path, with its libraries. */
int debian_program(struct archive_image *image, const char *root, const char *program, struct error **err);
/* iptables in the nft variant, as the machine's own Docker has it, and conntrack. */
int debian_iptables(struct archive_image *image, const char *root, struct error **err);
/* ip and bridge. */
int debian_iproute(struct archive_image *image, const char *root, struct error **err);
/* mkfs.ext4, resize2fs and blkid. */
int debian_filesystems(struct archive_image *image, const char *root, struct error **err);
/* busybox at /bin/busybox with a link for each of its programs. */
int debian_busybox(struct archive_image *image, const char *root, struct error **err);

#endif
