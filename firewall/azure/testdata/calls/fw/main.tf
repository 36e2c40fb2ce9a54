variable "name" {
  default = "inner"
}
variable "hosts" {}

resource "azurerm_firewall_application_rule_collection" "web" {
  name     = var.name
  priority = 200
  action   = "Allow"

  rule {
    name             = "host"
    source_addresses = ["*"]
    target_fqdns     = var.hosts
    protocol {
      port = "443"
      type = "Https"
    }
  }
}
