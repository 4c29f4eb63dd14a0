# The VM image by Packer: starts a Debian 12 cloud image under qemu, copies this repository into it and runs the same program
# as everywhere else, `k8s-bake --in-place`. What comes out is ready to be uploaded as a custom image.
#
#   packer init . && packer build -var base_url=... -var base_sha512=... -var ssh_private_key_file=... .

packer {
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = ">= 1.0.9"
    }
  }
}

variable "base_url" {
  type        = string
  description = "Debian 12 cloud image (generic, amd64, qcow2), from cloud.debian.org/images/cloud/bookworm"
}

variable "base_sha512" {
  type        = string
  description = "Its line in SHA512SUMS beside it"
}

variable "ssh_private_key_file" {
  type        = string
  description = "A key without passphrase, made for this; its public half lies beside it with .pub"
}

variable "kubernetes" {
  type        = string
  default     = ""
  description = "Version in the place of the one in image.conf; the project's own binaries are taken (release.conf)"
}

variable "mirror" {
  type        = string
  default     = ""
  description = "Prefix that downloads are asked under, for a private cloud"
}

variable "accelerator" {
  type    = string
  default = "kvm"
}

locals {
  options = join(" ", concat(
    var.kubernetes == "" ? [] : ["--set kubernetes=${var.kubernetes}"],
    var.mirror == "" ? [] : ["--mirror ${var.mirror}"],
  ))
}

source "qemu" "node" {
  iso_url          = var.base_url
  iso_checksum     = "sha512:${var.base_sha512}"
  disk_image       = true
  disk_size        = "20G"
  format           = "qcow2"
  accelerator      = var.accelerator
  headless         = true
  memory           = 4096
  cpus             = 2
  net_device       = "virtio-net"
  disk_interface   = "virtio"
  output_directory = "output"
  vm_name          = "k8s-node.qcow2"
  ssh_username     = "debian"
  ssh_timeout      = "20m"
  # the bake takes the key out again, like everything that belongs to one machine
  ssh_private_key_file = var.ssh_private_key_file
  cd_label = "cidata"
  cd_content = {
    "meta-data" = ""
    "user-data" = "#cloud-config\nusers:\n  - name: debian\n    sudo: ALL=(ALL) NOPASSWD:ALL\n    ssh_authorized_keys:\n      - ${trimspace(file("${var.ssh_private_key_file}.pub"))}\n"
  }
  shutdown_command = "sudo systemctl poweroff"
}

build {
  sources = ["source.qemu.node"]

  provisioner "shell-local" {
    inline = ["git -C ../.. archive --format=tar.gz --output=/tmp/k8s-hooks.tar.gz HEAD"]
  }
  provisioner "file" {
    source      = "/tmp/k8s-hooks.tar.gz"
    destination = "/tmp/k8s-hooks.tar.gz"
  }
  provisioner "shell" {
    inline = [
      "mkdir /tmp/k8s-hooks && tar -C /tmp/k8s-hooks -xzf /tmp/k8s-hooks.tar.gz",
      "cd /tmp/k8s-hooks",
      "sudo apt-get update && sudo apt-get install --yes make && sudo make deps && make && make install DESTDIR=build/suite",
      "sudo build/bin/k8s-bake --in-place --conf image/release.conf ${local.options}",
      "sudo rm -rf /tmp/k8s-hooks /tmp/k8s-hooks.tar.gz",
    ]
  }
}
