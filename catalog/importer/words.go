// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/catalog"
)

// slug writes a heading as the anchor that the site makes of it: lower case,
// letters and digits, everything else a hyphen, runs of hyphens one.
func slug(s string) string {
	var b strings.Builder
	hyphen := false
	for _, r := range strings.ToLower(s) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			hyphen = b.Len() > 0
			continue
		}
		if hyphen {
			b.WriteByte('-')
			hyphen = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// featureNames are the words by which a heading, in any language, names a
// feature: proper nouns, which translation keeps, as slugs. The first hit wins,
// so what is more special stands first.
var featureNames = []struct{ word, feature string }{
	{"workload-identit", catalog.WorkloadIdentity},
	{"entra-workload", catalog.WorkloadIdentity},
	{"defender", catalog.Defender},
	{"csi-secret", catalog.KeyVaultCSI}, {"secret-store", catalog.KeyVaultCSI}, {"secrets-store", catalog.KeyVaultCSI},
	{"key-vault", catalog.KeyVaultCSI}, {"keyvault", catalog.KeyVaultCSI},
	{"cost-analysis", catalog.CostAnalysis},
	{"cluster-extension", catalog.ClusterExtensions},
	{"dev-spaces", catalog.DevSpaces}, {"devspaces", catalog.DevSpaces},
	{"azure-policy", catalog.AzurePolicy}, {"azure-richtlinie", catalog.AzurePolicy}, {"azure-原则", catalog.AzurePolicy}, {"azure-原則", catalog.AzurePolicy},
	{"azure-monitor", catalog.Monitoring}, {"container-insight", catalog.Monitoring}, {"prometheus", catalog.Monitoring}, {"application-insight", catalog.Monitoring},
	{"gpu", catalog.GPU},
	{"windows", catalog.Windows},
}

// optionalWords are stems of "optional" and "recommended".
var optionalWords = []string{
	"optional", "recommend", // English; "optional" is German, Romanian, Indonesian too
	"empfohlen", "facultati", "recommand", "opcional", "recomend", "opzional", "consigliat", "optioneel", "optionele", "aanbevolen",
	"valfri", "rekommender", "volitel", "doporuč", "opcjonaln", "zalecan", "választhat", "ajánlott", "необязат", "рекоменд",
	"isteğe-bağlı", "önerilen", "opsional", "disarankan", "可选", "可選", "推荐", "建議", "建议", "選択", "省略可能", "推奨", "선택", "권장",
}

// cloudWords are stems by which a label names a cloud, beside which a label holds
// little else.
var cloudWords = []struct{ word, cloud string }{
	{"21vianet", catalog.AzureChinaCloud}, {"世纪互联", catalog.AzureChinaCloud}, {"世紀互聯", catalog.AzureChinaCloud},
	{"china", catalog.AzureChinaCloud}, {"chine", catalog.AzureChinaCloud}, {"cina", catalog.AzureChinaCloud}, {"kina", catalog.AzureChinaCloud},
	{"kína", catalog.AzureChinaCloud}, {"čín", catalog.AzureChinaCloud}, {"chiny", catalog.AzureChinaCloud}, {"chinach", catalog.AzureChinaCloud},
	{"çin", catalog.AzureChinaCloud}, {"кита", catalog.AzureChinaCloud}, {"中国", catalog.AzureChinaCloud}, {"中國", catalog.AzureChinaCloud},
	{"중국", catalog.AzureChinaCloud}, {"tiongkok", catalog.AzureChinaCloud},
	{"govern", catalog.AzureUSGovernment}, {"us-gov", catalog.AzureUSGovernment}, {"usgov", catalog.AzureUSGovernment},
	{"gouvern", catalog.AzureUSGovernment}, {"gobierno", catalog.AzureUSGovernment}, {"gubernamental", catalog.AzureUSGovernment},
	{"enti-pubblici", catalog.AzureUSGovernment}, {"regierung", catalog.AzureUSGovernment},
	{"overheid", catalog.AzureUSGovernment}, {"myndighet", catalog.AzureUSGovernment}, {"rząd", catalog.AzureUSGovernment},
	{"rządow", catalog.AzureUSGovernment}, {"vlád", catalog.AzureUSGovernment}, {"kormány", catalog.AzureUSGovernment},
	{"kamu", catalog.AzureUSGovernment}, {"devlet", catalog.AzureUSGovernment}, {"правительств", catalog.AzureUSGovernment},
	{"для-государственных", catalog.AzureUSGovernment}, {"政府", catalog.AzureUSGovernment}, {"정부", catalog.AzureUSGovernment},
	{"pemerintah", catalog.AzureUSGovernment},
	{"azure-global", catalog.AzureCloud}, {"global-azure", catalog.AzureCloud}, {"azure-public", catalog.AzureCloud},
	{"public-cloud", catalog.AzureCloud}, {"cloud-public", catalog.AzureCloud}, {"global", catalog.AzureCloud},
	{"globál", catalog.AzureCloud}, {"глобаль", catalog.AzureCloud}, {"mondial", catalog.AzureCloud},
	{"globais", catalog.AzureCloud}, {"wereldwijd", catalog.AzureCloud}, {"küresel", catalog.AzureCloud}, {"genel", catalog.AzureCloud},
	{"общедоступ", catalog.AzureCloud}, {"öffentlich", catalog.AzureCloud}, {"全球", catalog.AzureCloud}, {"全域", catalog.AzureCloud},
	{"公有", catalog.AzureCloud}, {"公共", catalog.AzureCloud}, {"グローバル", catalog.AzureCloud}, {"パブリック", catalog.AzureCloud},
	{"글로벌", catalog.AzureCloud}, {"퍼블릭", catalog.AzureCloud}, {"共通", catalog.AzureCloud},
}

// cloudOf returns the cloud that a label or slug names; two different ones are
// none.
func cloudOf(s string) string {
	s = slug(s)
	words := strings.Split(s, "-")
	found := ""
	for _, c := range cloudWords {
		if !names(s, words, c.word) {
			continue
		}
		if c.cloud == catalog.AzureCloud && found != "" {
			continue // "global" beside the name of a special cloud says nothing
		}
		if found != "" && found != c.cloud {
			return ""
		}
		found = c.cloud
	}
	return found
}

// names reports whether a slug holds a stem: at the begin of a word, since
// Turkish "için" is not China, and anywhere in scripts that set no spaces.
func names(s string, words []string, stem string) bool {
	if strings.Contains(stem, "-") || stem[0] >= 0xe3 {
		return strings.Contains(s, stem)
	}
	for _, w := range words {
		if strings.HasPrefix(w, stem) {
			return true
		}
	}
	return false
}

// featureOf returns the feature that a slug names by a proper noun.
func featureOf(s string) string {
	for _, f := range featureNames {
		if strings.Contains(s, f.word) {
			return f.feature
		}
	}
	return ""
}

func isOptional(s string) bool {
	for _, w := range optionalWords {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// plainWords are what an English heading may say without naming a feature.
var plainWords = wordSet(`
	a add addon addons addresses address aks all allow an and application apps azure base basic by cloud cluster clusters control
	core dependencies destination enabled endpoints egress features following for fqdn fqdns from global government in integrations
	is kubernetes limit microsoft must network node nodes of on ons operated or other outbound port ports preview public required
	requirements require restrict rule rules service services the these to traffic us with 21vianet china`)

// saysNothing reports whether every word of an English slug is a plain one.
func saysNothing(s string) bool {
	for _, w := range strings.Split(s, "-") {
		if w != "" && !plainWords[w] {
			return false
		}
	}
	return true
}

// seemsEnglish reports whether a slug holds a word that headings of the page
// have in English alone.
func seemsEnglish(s string) bool {
	for _, w := range strings.Split(s, "-") {
		switch w {
		case "required", "rules", "addresses", "ports", "for", "and", "the", "with", "add", "addon", "features", "clusters":
			return true
		}
	}
	return false
}

// joiners are "or" and "and" in the languages of the page; they may stand
// between two destinations.
var joiners = wordSet(`
	or and oder und ou et o y e u of en eller och og lub i albo oraz nebo a anebo vagy és или и veya ya da ve または あるいは と および
	또는 및 或 或者 和 及 以及 atau dan sau și`)

func wordSet(s string) map[string]bool {
	set := make(map[string]bool)
	for _, w := range strings.Fields(s) {
		set[w] = true
	}
	return set
}
