// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"

	"github.com/sallyport/sallyport/catalog"
)

// cloudMarks are names that only one cloud has; they decide for tables of the
// base section whose label cannot be understood.
var cloudMarks = []struct{ mark, cloud string }{
	{"azmk8s.io", catalog.AzureCloud}, {"management.azure.com", catalog.AzureCloud}, {"login.microsoftonline.com", catalog.AzureCloud},
	{"azk8s.cn", catalog.AzureChinaCloud}, {"chinacloudapi.cn", catalog.AzureChinaCloud},
	{"containerservice.azure.us", catalog.AzureUSGovernment}, {"usgovcloudapi.net", catalog.AzureUSGovernment}, {"login.microsoftonline.us", catalog.AzureUSGovernment},
}

// markedCloud returns the cloud whose marks s holds, "" for none or several.
func markedCloud(s string) string {
	found := ""
	for _, m := range cloudMarks {
		if strings.Contains(s, m.mark) {
			if found != "" && found != m.cloud {
				return ""
			}
			found = m.cloud
		}
	}
	return found
}

// section decides feature and cloud of a table.
func (r *rowReader) section(t *table, at place, labelled bool, views []*view, cols columns) (sec section, ok bool) {
	sec = section{feature: at.feature, cloud: at.cloud}
	mark := markedCloud(lowerCells(views, cols.destination))
	if sec.feature == "" { // a heading that says something unknown, or nothing understood
		byContent := r.byContent(views, cols)
		switch {
		case at.foreign && byContent != "":
			sec.feature = byContent
			r.rep.note(t.line, "the heading %q is in no known language; by its names the table is about %s", at.slug, byContent)
		case at.foreign && r.translated:
			return sec, false
		case at.slug == "":
			sec.feature = catalog.Base
			r.rep.note(t.line, "the table stands under a heading without text and is taken for %s", catalog.Base)
		default:
			sec.feature = at.slug
			r.rep.note(t.line, "the section %q is not known; its rows keep its name as their feature", at.slug)
		}
	} else if at.none {
		if f := r.byContent(views, cols); f != "" {
			sec.feature = f
		} else {
			sec.byRow = true
		}
		r.rep.note(t.line, "no heading stands above the table; feature and cloud are told by the names")
	}
	if sec.feature == catalog.Base && !sec.byRow {
		switch {
		case sec.cloud == "":
			sec.cloud = mark
			if mark == "" && at.none {
				sec.byRow = true
			} else if mark == "" {
				r.rep.note(t.line, "neither heading nor names tell which cloud the table is about")
			}
		case mark != "" && mark != sec.cloud && !labelled:
			r.rep.note(t.line, "an earlier label says %s, the names %s; the names count", sec.cloud, mark)
			sec.cloud = mark
		case mark != "" && mark != sec.cloud:
			r.rep.note(t.line, "the label says %s, the names %s; the names count", sec.cloud, mark)
			sec.cloud = mark
		}
	}
	return sec, true
}

func lowerCells(views []*view, i int) string {
	var b strings.Builder
	for _, v := range views {
		if i >= 0 && i < len(v.text) {
			for _, ru := range v.text[i].r {
				if ru > ' ' {
					b.WriteRune(ru)
				}
			}
			b.WriteByte(' ')
		}
	}
	return strings.ToLower(b.String())
}

// byContent returns the feature whose known rows the destinations of a table
// match best; "" when that is not one.
func (r *rowReader) byContent(views []*view, cols columns) string {
	score := make(map[string]int)
	total := 0
	for _, v := range views {
		ports, _, ok := r.ports(v, cols)
		if !ok || cols.destination < 0 || cols.destination >= len(v.text) {
			continue
		}
		found, _ := r.cell(v.text[cols.destination], about{ports: ports})
		for _, d := range found {
			total++
			for f := range r.known.features[d.name] {
				score[f]++
			}
		}
	}
	best, second := "", 0
	for f, n := range score {
		switch {
		case best == "" || n > score[best]:
			if best != "" {
				second = max(second, score[best])
			}
			best = f
		default:
			second = max(second, n)
		}
	}
	if best == "" || score[best] == second || score[best]*2 < total {
		return ""
	}
	return best
}
