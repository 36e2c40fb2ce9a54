param rules array
param networkRules array = []

resource fw 'Microsoft.Network/azureFirewalls@2025-07-01' = {
  name: 'fw'
  properties: {
    applicationRuleCollections: rules
    networkRuleCollections: networkRules
  }
}
