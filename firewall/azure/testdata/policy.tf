variable "location" { type = string }
variable "ports" {
  default = ["80", "443"]
}
variable "web" {
  type = list(object({ name = string, hosts = list(string) }))
}

locals {
  source = ["10.0.0.0/16"]
  allow  = var.loose ? "Allow" : "Deny"
}

resource "azurerm_ip_group" "nodes" {
  name  = "nodes"
  cidrs = ["10.5.0.0/16"]
}

resource "azurerm_firewall_policy" "policy" {
  name = "${var.name}Policy"
  dns {
    proxy_enabled = true
  }
}

resource "azurerm_firewall_policy_rule_collection_group" "policy" {
  name               = "Group"
  firewall_policy_id = azurerm_firewall_policy.policy.id
  priority           = 500

  application_rule_collection {
    name     = "ApplicationRules"
    priority = 100
    action   = "Allow"

    rule {
      name              = "hosts"
      source_addresses  = local.source
      destination_fqdns = ["mcr.microsoft.com", "*.example.com"]
      protocols {
        port = "80"
        type = "Http"
      }
      protocols {
        port = "443"
        type = "Https"
      }
    }

    dynamic "rule" {
      for_each = var.web
      content {
        name              = rule.value.name
        source_addresses  = ["*"]
        destination_fqdns = rule.value.hosts
        protocols {
          port = 443
          type = "Https"
        }
      }
    }
  }

  network_rule_collection {
    name     = "NetworkRules"
    priority = 400
    action   = "Allow"

    rule {
      name                  = "Tags"
      source_ip_groups      = [azurerm_ip_group.nodes.id]
      destination_ports     = ["*"]
      destination_addresses = ["AzureCloud.${var.location}", "AzureCloud.*"]
      protocols             = ["Any"]
    }

    rule {
      name                  = "Void"
      source_addresses      = ["*"]
      destination_ports     = var.ports
      destination_addresses = ["*"]
      protocols             = ["TCP"]
    }

    rule {
      name                  = "Dead"
      source_addresses      = ["*"]
      destination_ports     = ["1194"]
      destination_addresses = ["AzureCloud.*"]
      protocols             = ["UDP"]
    }
  }

  lifecycle {
    ignore_changes = [
      application_rule_collection,
      network_rule_collection
    ]
  }
}

resource "azurerm_route_table" "rt" {
  name = "rt"
  route {
    name                   = "out"
    address_prefix         = "0.0.0.0/0"
    next_hop_type          = "VirtualAppliance"
    next_hop_in_ip_address = "10.0.0.4"
  }
}

resource "azurerm_route" "back" {
  name           = "back"
  address_prefix = "${var.public_ip}/32"
  next_hop_type  = "Internet"
}
