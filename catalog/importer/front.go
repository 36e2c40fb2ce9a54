// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strconv"
	"strings"
	"time"
)

// frontFields reads what the front matter says of the document itself.
func frontFields(lines []string, e *Edition) (translated bool) {
	for _, l := range lines {
		key, value, ok := strings.Cut(l, ":")
		if !ok || key == "" || key[0] == ' ' || key[0] == '#' {
			continue
		}
		value = unquote(strings.TrimSpace(value))
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "title":
			e.Title = value
		case "ms.date":
			e.MSDate = parseDate(value)
		case "ms.contentlocale":
			e.Locale = value
		case "ms.openlocfilehash", "ms.locfileid":
			translated = value != ""
		}
	}
	if e.Locale != "" {
		return !strings.HasPrefix(strings.ToLower(e.Locale), "en")
	}
	return translated
}

func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// parseDate reads 03/10/2020 (month first), 3/9/2020 and 2020-03-10, with
// anything behind a space ignored; the zero time is no date.
func parseDate(s string) time.Time {
	s, _, _ = strings.Cut(s, " ")
	s, _, _ = strings.Cut(s, "T")
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == '/' || r == '-' })
	if len(parts) != 3 {
		return time.Time{}
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil || len(p) > 4 {
			return time.Time{}
		}
		n[i] = v
	}
	year, month, day := n[2], n[0], n[1]
	if len(parts[0]) == 4 {
		year, month, day = n[0], n[1], n[2]
	}
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if year < 1000 || t.Month() != time.Month(month) || t.Day() != day {
		return time.Time{}
	}
	return t
}
