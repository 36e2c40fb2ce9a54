rules = [
  {
    action   = "Allow"
    name     = "App"
    priority = 600
    rule = [
      {
        name              = "AllowAll"
        source_addresses  = ["10.0.0.0/24"]
        protocols         = [{ port = 443, type = "Https" }]
        destination_fqdns = ["microsoft.com"]
      }
    ]
  }
]
