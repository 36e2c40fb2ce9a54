param deployFirewall bool = true

module fw './fw/firewall.bicep' = if (deployFirewall) {
  name: 'fw'
  params: {
    rules: [
      {
        name: 'c'
        properties: {
          priority: 100
          action: { type: 'Allow' }
          rules: [
            {
              name: 'r'
              sourceAddresses: ['10.0.0.0/8']
              protocols: [{ protocolType: 'Https', port: 443 }]
              targetFqdns: ['a.example.com']
            }
          ]
        }
      }
    ]
  }
}
