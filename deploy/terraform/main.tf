# Instances that run the Docker volume driver for EBS: their role, and a launch template that installs it at the first boot.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "cluster" {
  description = "Volumes are shared by the instances of a cluster, and touched by no other."
  type        = string
  default     = "default"
  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.cluster))
    error_message = "It has letters, digits, dots, underscores and dashes."
  }
}

variable "fence_policy" {
  description = "When a volume may be taken from another instance (docs/fencing.md)."
  type        = string
  default     = "instance-not-running"
  validation {
    condition     = contains(["never", "instance-not-running", "stonith", "preempt"], var.fence_policy)
    error_message = "It is never, instance-not-running, stonith or preempt."
  }
}

variable "grow_volumes" {
  description = "Whether instances may make volumes larger, for resize, modify and autoGrow (docs/grow.md)."
  type        = bool
  default     = false
}

variable "plugin" {
  description = "The plugin in your registry, as registry.example.com/ebs:0.1.0-amd64."
  type        = string
}

variable "image_id" {
  description = "An image with Docker."
  type        = string
}

variable "instance_type" {
  description = "Of the architecture of the image and of the plugin."
  type        = string
  default     = "t3.medium"
}

variable "kms_key_arn" {
  description = "Your own key for encrypted volumes. Null if they use the key of AWS for EBS, or are not encrypted."
  type        = string
  default     = null
}

data "aws_partition" "current" {}

locals {
  policies = "${path.module}/../../iam"
  # The files name the partition of the public regions.
  arn = "arn:${data.aws_partition.current.partition}:"
}

resource "aws_iam_role" "instance" {
  name_prefix = "docker-volume-ebs-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "volumes" {
  name   = "docker-volume-ebs"
  role   = aws_iam_role.instance.id
  policy = replace(templatefile("${local.policies}/${var.fence_policy}.json", { CLUSTER = var.cluster }), "arn:aws:", local.arn)
}

resource "aws_iam_role_policy" "grow" {
  count  = var.grow_volumes ? 1 : 0
  name   = "docker-volume-ebs-grow"
  role   = aws_iam_role.instance.id
  policy = replace(templatefile("${local.policies}/grow.json", { CLUSTER = var.cluster }), "arn:aws:", local.arn)
}

resource "aws_iam_role_policy" "key" {
  count  = var.kms_key_arn == null ? 0 : 1
  name   = "docker-volume-ebs-key"
  role   = aws_iam_role.instance.id
  policy = templatefile("${local.policies}/kms.json", { KMS_KEY_ARN = var.kms_key_arn })
}

resource "aws_iam_instance_profile" "instance" {
  name_prefix = "docker-volume-ebs-"
  role        = aws_iam_role.instance.name
}

resource "aws_launch_template" "instance" {
  name_prefix   = "docker-volume-ebs-"
  image_id      = var.image_id
  instance_type = var.instance_type

  iam_instance_profile {
    arn = aws_iam_instance_profile.instance.arn
  }

  # The plugin uses the host's network: one hop reaches it, and keeps the role from the containers.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # stonith stops only instances that carry it.
  tag_specifications {
    resource_type = "instance"
    tags          = { "docker-volume-ebs:cluster" = var.cluster }
  }

  user_data = base64encode(<<-EOT
    #!/bin/bash
    set -eu
    docker plugin install --alias ebs --grant-all-permissions ${var.plugin} \
      DVE_CLUSTER=${var.cluster} DVE_FENCE_POLICY=${var.fence_policy}
  EOT
  )
}

output "launch_template_id" {
  description = "For an Auto Scaling group, or aws ec2 run-instances --launch-template."
  value       = aws_launch_template.instance.id
}

output "role_name" {
  description = "To add to it what else your instances need."
  value       = aws_iam_role.instance.name
}
