param natRules array
param source string
param extra array

module firewall 'br/public:avm/res/network/azure-firewall:0.1.1' = {
  name: 'fw'
  params: {
    name: 'fw'
    natRuleCollections: natRules
    applicationRuleCollections: [
      {
        name: 'web'
        properties: {
          priority: 101
          action: {
            type: 'Deny'
          }
          rules: [
            {
              name: 'bad'
              sourceAddresses: [
                source
              ]
              protocols: [
                {
                  protocolType: 'Http'
                  port: 80
                }
              ]
              targetFqdns: [
                '*example.net'
              ]
            }
          ]
        }
      }
    ]
    networkRuleCollections: extra
  }
}
