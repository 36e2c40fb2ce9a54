using './modules.bicep'

param natRules = []
param source = '10.0.0.0/8'
