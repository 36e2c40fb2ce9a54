param location string = resourceGroup().location
param vnetAksSubnetAddressPrefix string = '10.1.1.0/24'
param certManagerFW bool = false
param acrPrivatePool bool = true
var fw_name = 'afw-x'
param spokeSubnetPrefixes object = {
  aksNodes: '10.1.1.0/24'
  apps: '10.1.2.0/24'
}
param allowedEgressFqdns array = [
  'github.com'
  '*.docker.io'
]
var azureServiceFqdns = [
  replace(environment().resourceManager, 'https://', '')
  substring(environment().resourceManager, 8, length(environment().resourceManager) - 9)
  '*.hcp.${location}.azmk8s.io'
]
resource fw 'Microsoft.Network/azureFirewalls@2021-03-01' = {
  name: fw_name
  location: location
  properties: {
    threatIntelMode: 'Alert'
    applicationRuleCollections: [
      {
        name: 'clusterRc1'
        properties: {
          priority: 101
          action: {
            type: 'Allow'
          }
          rules: concat([
              {
                name: 'aks'
                protocols: [
                  {
                    port: 443
                    protocolType: 'Https'
                  }
                ]
                targetFqdns: []
                fqdnTags: [
                  'AzureKubernetesService'
                ]
                sourceAddresses: [
                  vnetAksSubnetAddressPrefix
                ]
              }
            ], certManagerFW ? [
              {
                name: 'cetman-quay'
                protocols: [
                  {
                    port: 443
                    protocolType: 'Https'
                  }
                ]
                targetFqdns: [
                  'quay.io'
                  '*.quay.io'
                ]
                sourceAddresses: [
                  vnetAksSubnetAddressPrefix
                ]
              }
            ] : [], acrPrivatePool ? [ {
              name: 'acr', protocols: [{ port: 443, protocolType: 'Https' }], targetFqdns: [ '*.azurecr.io' ], sourceAddresses: [vnetAksSubnetAddressPrefix] } ] : [])
        }
      }
    ]
  }
}

module firewallPolicy 'br/public:avm/res/network/firewall-policy:0.3.1' = if (certManagerFW || true) {
  name: 'p'
  params: {
    name: 'afwp'
    ruleCollectionGroups: [
      {
        name: 'g'
        priority: 200
        ruleCollections: [
          {
            name: 'aks-net'
            priority: 100
            ruleCollectionType: 'FirewallPolicyFilterRuleCollection'
            action: { type: 'Allow' }
            rules: [
              {
                ruleType: 'NetworkRule'
                name: 'aks-tunnel-udp'
                ipProtocols: ['UDP']
                sourceAddresses: [spokeSubnetPrefixes.aksNodes]
                destinationAddresses: ['AzureCloud.${location}']
                destinationPorts: ['1194']
              }
            ]
          }
          {
            name: 'aks-application'
            priority: 200
            ruleCollectionType: 'FirewallPolicyFilterRuleCollection'
            action: { type: 'Allow' }
            rules: [
              {
                ruleType: 'ApplicationRule'
                name: 'azure-services'
                sourceAddresses: [spokeSubnetPrefixes.aksNodes]
                targetFqdns: azureServiceFqdns
                protocols: [{ protocolType: 'Https', port: 443 }]
              }
              {
                ruleType: 'ApplicationRule'
                name: 'platform-dependencies'
                sourceAddresses: [spokeSubnetPrefixes.aksNodes]
                targetFqdns: allowedEgressFqdns
                protocols: [{ protocolType: 'Https', port: 443 }]
              }
            ]
          }
        ]
      }
    ]
  }
}

param perhaps bool
param hosts array = [
  { name: 'one.example.com', on: true }
  { name: 'two.example.com', on: false }
]

resource computed 'Microsoft.Network/azureFirewalls@2021-03-01' = {
  name: 'computed'
  location: location
  properties: {
    applicationRuleCollections: [
      {
        name: 'computed'
        properties: {
          priority: 300
          action: { type: 'Allow' }
          rules: [
            {
              name: 'lists'
              protocols: [{ protocolType: 'Https', port: 400 + 43 * 1 }]
              sourceAddresses: [ (perhaps ?? true) || true ? '10.8.3.0/24' : '*' ]
              targetFqdns: union(
                map(filter(hosts, h => h.on), h => toLower(h.name)),
                perhaps ? [ 'perhaps.example.com' ] : [],
                [ spokeSubnetPrefixes.?none ?? 'instead.example.com', empty([]) && !contains(spokeSubnetPrefixes, 'apps') ? 'never.example.com' : 'else.example.com' ]
              )
            }
          ]
        }
      }
    ]
  }
}
