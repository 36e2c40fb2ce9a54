variable "name" {
  default = "outer"
}

module "firewall" {
  source = "./fw"
  hosts  = ["a.example.com"]
}
