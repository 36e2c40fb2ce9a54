targetScope = 'resourceGroup'

@description('Subnets; it\'s a list.')
@minLength(1)
param subnets array
param location string = resourceGroup().location
param gitHosts array = [
  'git.example.com'
  '*.git.example.com'
]
param mode 'a' | 'b' = 'a'
@allowed([
  'x'
])
param withNtp bool

var suffix = environment().suffixes.storage
var number = 3

resource ipg 'Microsoft.Network/ipGroups@2025-07-01' = {
  name: 'ipg-${location}-nodes'
  location: location
  properties: {
    ipAddresses: [for s in subnets: '${reference(s, '2023-11-01').addressPrefix}']
  }
}

resource known 'Microsoft.Network/ipGroups@2025-07-01' = {
  name: 'ipg-known'
  properties: { ipAddresses: ['10.1.0.0/16', '10.2.0.0/16'] }
}

resource other 'Microsoft.Network/virtualNetworks@2025-07-01' existing = {
  name: 'x'
}

/* the policy
   and its groups */
resource policy 'Microsoft.Network/firewallPolicies@2025-07-01' = {
  name: 'fw-policies-${location}'
  dependsOn: [
    ipg
  ]
  properties: {
    sku: { tier: 'Premium' }
    dnsSettings: {
      servers: []
      enableProxy: true
    }
  }

  // rules by address
  resource network 'ruleCollectionGroups' = {
    name: 'Network'
    properties: {
      priority: 200
      ruleCollections: [
        {
          ruleCollectionType: 'FirewallPolicyFilterRuleCollection'
          name: 'aks'
          priority: 200
          action: {
            type: 'Allow'
          }
          rules: [
            {
              ruleType: 'NetworkRule'
              name: 'api'
              description: 'the cluster\'s own'
              ipProtocols: [
                'TCP'
              ]
              sourceAddresses: []
              sourceIpGroups: [
                known.id
              ]
              destinationAddresses: [
                'AzureCloud.${location}' // wide, and isn't said
              ]
              destinationPorts: [
                '443'
              ]
            }
            // old
            {
              ruleType: 'NetworkRule'
              name: 'dns'
              ipProtocols: ['UDP']
              sourceIpGroups: [ipg.id]
              destinationAddresses: ['10.0.0.4-10.0.0.6']
              destinationPorts: ['53']
            }
          ]
        }
      ]
    }
  }

  resource application 'ruleCollectionGroups' = {
    name: 'Application'
    dependsOn: [
      network
    ]
    properties: {
      priority: 100
      ruleCollections: [
        {
          ruleCollectionType: 'FirewallPolicyFilterRuleCollection'
          name: 'git'
          priority: 300
          action: { type: 'Allow' }
          rules: [
            {
              ruleType: 'ApplicationRule'
              name: 'hosts'
              protocols: [
                {
                  protocolType: 'Https'
                  port: 443
                }
              ]
              fqdnTags: []
              targetFqdns: gitHosts
              sourceIpGroups: [
                known.id
              ]
            }
            {
              ruleType: 'ApplicationRule'
              name: 'azure'
              protocols: [{ protocolType: 'Https', port: 443 }]
              targetFqdns: [
                split(environment().resourceManager, '/')[2]
                split(environment().authentication.loginEndpoint, '/')[2] // not to upset the linter
                'data.policy.${suffix}'
                '${location}.monitoring.azure.com'
              ]
              sourceIpGroups: [known.id]
            }
          ]
        }
      ]
    }
  }
}

resource late 'Microsoft.Network/firewallPolicies/ruleCollectionGroups@2025-07-01' = if (withNtp) {
  parent: policy
  name: 'Late'
  properties: {
    priority: 50
    ruleCollections: [
      {
        ruleCollectionType: 'FirewallPolicyFilterRuleCollection'
        name: 'late'
        priority: (number == 3) ? 400 : 500
        action: { type: 'Allow' }
        rules: [for host in gitHosts: {
          ruleType: 'NetworkRule'
          name: 'ntp-${host}'
          ipProtocols: ['UDP']
          sourceAddresses: ['*']
          destinationFqdns: [host]
          destinationPorts: ['123']
        }]
      }
    ]
  }
}

module routes 'br/public:avm/res/network/route-table:0.2.2' = {
  scope: resourceGroup('rg')
  name: 'rt'
  params: {
    routes: [
      {
        name: 'out'
        properties: {
          addressPrefix: '0.0.0.0/0'
          nextHopIpAddress: '10.0.0.4'
          nextHopType: 'VirtualAppliance'
        }
      }
    ]
  }
}

output id string = policy.id
