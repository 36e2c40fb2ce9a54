locals {
  aks_builtin_enabled = try(var.builtins.aks_egress.enabled, false)
  aks_source_addresses = try(var.builtins.aks_egress.source_addresses, ["10.1.1.0/24"])
  aks_control_plane_service_tag = "AzureCloud.${var.location}"
  aks_egress_fqdns = concat([
    "*.hcp.${var.location}.azmk8s.io",
    "mcr.microsoft.com",
    "*.data.mcr.microsoft.com",
  ], var.extra)

  aks_rule_collection_groups = local.aks_builtin_enabled ? {
    "aks-egress" = {
      priority = 200
      application_rule_collections = {
        "aks-app" = {
          priority = 200
          action   = "Allow"
          rules = {
            "aks-platform-fqdns" = {
              source_addresses = local.aks_source_addresses
              protocols = [
                { type = "Http", port = 80 },
                { type = "Https", port = 443 },
              ]
              destination_fqdns = local.aks_egress_fqdns
            }
            "aks-fqdn-tag" = {
              source_addresses = local.aks_source_addresses
              protocols = [ { type = "Https", port = 443 } ]
              destination_fqdn_tags = ["AzureKubernetesService"]
            }
          }
        }
      }
      network_rule_collections = {
        "aks-network" = {
          priority = 210
          action   = "Allow"
          rules = merge(
            {
              "aks-controlplane-udp-1194" = {
                protocols             = ["UDP"]
                source_addresses      = local.aks_source_addresses
                destination_addresses = [local.aks_control_plane_service_tag]
                destination_ports     = ["1194"]
              }
              "dns-udp" = {
                protocols             = ["UDP"]
                source_addresses      = local.aks_source_addresses
                destination_addresses = ["*"]
                destination_ports     = ["53"]
              }
            },
            length(var.extra) > 0 ? {
              "ntp" = {
                protocols             = ["UDP"]
                source_addresses      = local.aks_source_addresses
                destination_fqdns = ["ntp.ubuntu.com"]
                destination_ports     = ["123"]
              }
            } : {}
          )
        }
      }
    }
  } : {}
}
variable "location" { default = "westeurope" }
variable "extra" { 
  type = list(string)
  default = [] 
}
variable "builtins" {
  type = any
  default = { aks_egress = { enabled = true } }
}
resource "azurerm_firewall_policy_rule_collection_group" "this" {
  for_each           = local.aks_rule_collection_groups
  name               = each.key
  firewall_policy_id = azurerm_firewall_policy.this.id
  priority           = each.value.priority

  dynamic "application_rule_collection" {
    for_each = each.value.application_rule_collections
    content {
      name     = application_rule_collection.key
      priority = application_rule_collection.value.priority
      action   = application_rule_collection.value.action
      dynamic "rule" {
        for_each = application_rule_collection.value.rules
        content {
          name                  = rule.key
          source_addresses      = try(rule.value.source_addresses, null)
          destination_fqdns     = try(rule.value.destination_fqdns, null)
          destination_fqdn_tags = try(rule.value.destination_fqdn_tags, null)
          dynamic "protocols" {
            for_each = rule.value.protocols
            content {
              type = protocols.value.type
              port = protocols.value.port
            }
          }
        }
      }
    }
  }
  dynamic "network_rule_collection" {
    for_each = lookup(each.value, "network_rule_collections", {})
    iterator = nrc
    content {
      name     = nrc.key
      priority = nrc.value["priority"]
      action   = nrc.value["action"]
      dynamic "rule" {
        for_each = { for k, v in nrc.value.rules : k => v }
        content {
          name                  = rule.key
          protocols             = rule.value.protocols
          source_addresses      = rule.value.source_addresses
          destination_addresses = lookup(rule.value, "destination_addresses", null)
          destination_fqdns     = lookup(rule.value, "destination_fqdns", null)
          destination_ports     = rule.value.destination_ports
        }
      }
    }
  }
}

variable "regions" { default = ["eastus", "westus"] }
variable "vnet" { default = "10.8.0.0/16" }
variable "with_extra" {}

resource "azurerm_firewall_application_rule_collection" "computed" {
  name     = "computed"
  priority = 300
  action   = "Allow"

  rule {
    name             = "lists"
    source_addresses = [cidrsubnet(var.vnet, 8, 3), cidrhost(var.vnet, 4)]
    target_fqdns = concat(
      formatlist("%s.data.example.com", var.regions),
      [for r in var.regions : "${r}.only.example.com" if r != "westus"],
      var.with_extra ? ["perhaps.example.com"] : [],
      [coalesce("", null, "first.example.com"), element(var.regions, 3) == "westus" ? "second.example.com" : "never.example.com"],
      keys({ "key.example.com" = 1 }),
      [substr("xthird.example.com", 1, -1), try(var.missing.name, "tried.example.com")],
    )
    protocol {
      type = "Https"
      port = 400 + 43
    }
  }
}
