resource "azurerm_firewall_network_rule_collection" "time" {
  name                = "time"
  azure_firewall_name = "fw"
  priority            = 101
  action              = "Allow"

  rule {
    name              = "ntp"
    source_addresses  = ["10.0.0.0/16"]
    destination_ports = ["123"]
    destination_fqdns = ["ntp.ubuntu.com", "*.pool.ntp.org"]
    protocols         = ["UDP"]
  }
}

resource "azurerm_firewall_application_rule_collection" "web" {
  for_each            = { a = "a.example.com", b = "b.example.com" }
  name                = "web-${each.key}"
  azure_firewall_name = "fw"
  priority            = 200
  action              = "Allow"

  rule {
    name             = "host"
    source_addresses = ["*"]
    target_fqdns     = [each.value]
    protocol {
      port = "443"
      type = "Https"
    }
  }
}

resource "azurerm_firewall_nat_rule_collection" "in" {
  name     = "in"
  priority = 100
  action   = "Dnat"
  rule {
    name                  = "http"
    source_addresses      = ["*"]
    destination_ports     = ["80"]
    destination_addresses = ["203.0.113.4"]
    translated_address    = "10.0.1.5"
    translated_port       = "8080"
    protocols             = ["TCP"]
  }
}
