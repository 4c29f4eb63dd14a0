# The VM image by Packer, with the same program as everywhere else, `k8s-bake --in-place`. The suite is built on the machine
# that runs Packer (Debian 12, in this directory); what builds it is not to be in the image.
#
# In a VM that runs, as on QingCloud: a base VM with a key that opens it, which is captured afterwards
#   packer build -only=null.vm -var ssh_host=ADDRESS -var ssh_username=root -var ssh_private_key_file=KEY .
#
# From a Debian 12 cloud image (generic, amd64, qcow2; cloud.debian.org/images/cloud/bookworm) under qemu, with a key KEY and
# KEY.pub made for this. Packer needs xorriso for the disk that gives cloud-init the key.
#   mkdir cidata && : >cidata/meta-data && cat >cidata/user-data - KEY.pub <<X
#   #cloud-config
#   users:
#     - name: debian
#       sudo: ALL=(ALL) NOPASSWD:ALL
#       ssh_authorized_keys:
#         -
#   X
#   packer build -only=qemu.node -var base_url=URL -var base_sha512=ITS-LINE-IN-SHA512SUMS -var ssh_private_key_file=KEY .
#
# `packer init .` comes first, where builders are plugins (from 1.7 on). Packer 1.6 takes k8s-node.pkr.hcl in the place of ".".

variable "base_url" {
  type    = string
  default = "none"
}

variable "base_sha512" {
  type    = string
  default = "none"
}

variable "ssh_host" {
  type        = string
  default     = "none"
  description = "Of the VM that runs"
}

variable "ssh_port" {
  type    = number
  default = 22
}

variable "ssh_username" {
  type        = string
  default     = "debian"
  description = "Root, or who may become root by sudo"
}

variable "ssh_private_key_file" {
  type        = string
  description = "A key without passphrase; the bake takes it out of the image again, like all that belongs to one machine"
}

variable "conf" {
  type        = string
  default     = "image/release.conf"
  description = "What goes in; from Kubernetes 1.24 on image/cri-dockerd.conf"
}

variable "kubernetes" {
  type        = string
  default     = ""
  description = "Version in the place of the one in the file"
}

variable "mirror" {
  type        = string
  default     = ""
  description = "Prefix that downloads are requested under, for a private cloud"
}

variable "accelerator" {
  type    = string
  default = "kvm"
}

locals {
  options = join(" ", concat(
    ["--conf", var.conf],
    var.kubernetes == "" ? [] : ["--set kubernetes=${var.kubernetes}"],
    var.mirror == "" ? [] : ["--mirror ${var.mirror}"],
  ))
}

source "null" "vm" {
  ssh_host             = var.ssh_host
  ssh_port             = var.ssh_port
  ssh_username         = var.ssh_username
  ssh_private_key_file = var.ssh_private_key_file
}

source "qemu" "node" {
  iso_url              = var.base_url
  iso_checksum         = "sha512:${var.base_sha512}"
  disk_image           = true
  disk_size            = "20G"
  format               = "qcow2"
  accelerator          = var.accelerator
  headless             = true
  memory               = 4096
  cpus                 = 2
  net_device           = "virtio-net"
  disk_interface       = "virtio"
  output_directory     = "output"
  vm_name              = "k8s-node.qcow2"
  ssh_username         = var.ssh_username
  ssh_timeout          = "20m"
  ssh_private_key_file = var.ssh_private_key_file
  cd_label             = "cidata"
  cd_files             = ["cidata/meta-data", "cidata/user-data"]
  shutdown_command     = "sudo systemctl poweroff"
}

build {
  sources = ["source.null.vm", "source.qemu.node"]

  provisioner "shell-local" {
    inline = [
      "make -s -C ../.. B=build install DESTDIR=build/packer/suite",
      "tar -C ../.. -czf ../../build/packer/k8s-hooks.tar.gz image build/bin/k8s-bake -C build/packer suite",
    ]
  }
  provisioner "file" {
    source      = "../../build/packer/k8s-hooks.tar.gz"
    destination = "/tmp/k8s-hooks.tar.gz"
    generated   = true
  }
  # skopeo is for the bake alone; the second bake cleans up after its removal
  provisioner "shell" {
    inline = [
      "mkdir /tmp/k8s-hooks && tar -C /tmp/k8s-hooks -xzf /tmp/k8s-hooks.tar.gz && cd /tmp/k8s-hooks",
      "sudo apt-get update",
      "sudo apt-get install --yes --no-install-recommends skopeo libconfuse2 libcurl4 libhttp-parser2.9 libjansson4 libsystemd0 libyaml-0-2",
      "bake='sudo build/bin/k8s-bake --in-place --set suite=/tmp/k8s-hooks/suite ${local.options}'",
      "$bake && sudo apt-get purge --yes skopeo && $bake",
      "rm -rf /tmp/k8s-hooks /tmp/k8s-hooks.tar.gz",
    ]
  }
}
