#!/usr/bin/env bash
set -euo pipefail
LOCATION=${1:-westeurope}
FW=fw; RG=rg
NODES=10.1.1.0/24
FQDNS=("mcr.microsoft.com" "*.data.mcr.microsoft.com")
az network firewall create -g $RG -n "$FW" -l $LOCATION --enable-dns-proxy true
i=100
for f in "${FQDNS[@]}"; do
  az network firewall application-rule create -g "$RG" -f "$FW" --collection-name "aks" -n "rule-$i" \
    --source-addresses "$NODES" --protocols 'https=443' --target-fqdns "$f" --action allow --priority 200
  i=$((i+1))
done
az network firewall policy rule-collection-group collection add-filter-collection \
  --resource-group $RG --policy-name pol --rcg-name rcg --name netc --action Allow --collection-priority 110 \
  --rule-name dns --rule-type NetworkRule --ip-protocols UDP --source-addresses '*' --destination-addresses '*' --destination-ports 53
az network firewall network-rule create --collection-name 'aksfwnr' --destination-ports 1194 --firewall-name $FW --name 'apiudp' --protocols 'UDP' --resource-group $RG --destination-addresses "AzureCloud.$LOCATION" --source-addresses '*' --action allow --priority 100
az network firewall application-rule create --collection-name 'aksfwar' --firewall-name $FW --name 'fqdn' --protocols 'http=80' 'https=443' --resource-group $RG --fqdn-tags "AzureKubernetesService" --source-addresses "${NODES}" --action allow --priority 100
