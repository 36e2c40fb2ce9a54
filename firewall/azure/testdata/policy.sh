#!/bin/bash
export LOC=westeurope   # where
P='pol'
az network firewall policy create -g rg -n $P --enable-dns-proxy=true
az network firewall policy rule-collection-group create -g rg --policy-name "$P" -n net --priority 200
az network firewall policy rule-collection-group collection add-filter-collection \
  -g rg --policy-name ${P} --rcg-name net --name allow --collection-priority 110 --action Allow \
  --rule-name api --rule-type NetworkRule --ip-protocols TCP UDP \
  --source-addresses 10.0.0.0/16,10.1.0.0/16 \
  --destination-addresses "AzureCloud.$LOC" 192.0.2.0/24 --destination-ports 443 9000
az network firewall policy rule-collection-group collection rule add -g rg --policy-name pol \
  --rule-collection-group-name net --collection-name allow --name web --rule-type ApplicationRule \
  --protocols Https=443 http=80 --source-addresses "*" --target-fqdns '*.example.com' example.org
if [ -n "$EXTRA" ]; then
  az network firewall network-rule create -f fw -c maybe -n extra --protocols UDP --source-addresses '*' \
    --destination-addresses '*' --destination-ports 123 --action allow --priority 500
fi
az network firewall network-rule create -f fw --collection-name two --name a --protocols TCP --source-addresses '*' --destination-addresses <hub-ip> --destination-ports 22
az network firewall network-rule create -f fw --collection-name two --name b --protocols TCP --source-addresses '*' --destination-addresses $HUB --destination-ports 23 --action deny --priority 100
cat <<X > file
az network firewall network-rule create -f fw -c none -n none --protocols TCP
X
az network firewall network-rule delete -f fw -c two -n b
