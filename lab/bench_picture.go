// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// Sizes of the picture, in its own units.
const (
	pictureWidth = 860
	pictureLeft  = 150 // where bars begin
	pictureRight = 700 // where a ratio of pictureMost is
	pictureMost  = 1.3
	barHeight    = 13
	groupGap     = 34
)

// Colours of the bars, which read on light and dark ground: the gateway's is the
// only strong one.
const (
	colourGateway = "#1a7f5a"
	colourRules   = "#8a94a6"
	colourPeer    = "#c9a227"
	colourInk     = "#24292f"
	colourNoise   = "#d8dee4"
)

// Picture returns the ratios that have peers as bars with their intervals, in
// SVG. It is written by hand: a library for charts would bring its fonts into
// the gateway's program.
func (r BenchResult) Picture() string {
	var rows []BenchRow
	for _, row := range r.Rows {
		if row.Unit == UnitRatio && len(row.Figures) > 1 {
			rows = append(rows, row)
		}
	}
	height := 76
	for _, row := range rows {
		height += groupGap + barHeight*len(row.Figures)
	}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="11" fill="%s">`+"\n",
		pictureWidth, height, pictureWidth, height, colourInk)
	fmt.Fprintf(&s, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", pictureWidth, height)
	text(&s, 16, 24, "start", "bold", "Ratio to plain kernel forwarding, with 95 % intervals")
	text(&s, 16, 42, "start", "normal", fmt.Sprintf("Linux %s, %d processors, %d interleaved rounds, %s; grey ground: plain forwarding against itself", r.Host.Kernel, r.Host.CPUs, r.Pairs, r.Day))
	y := 56
	for _, row := range rows {
		y += groupGap
		text(&s, 16, y-8, "start", "bold", row.Name)
		bottom := y + barHeight*len(row.Figures)
		if n := row.Noise; n != nil {
			fmt.Fprintf(&s, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", across(n.Low), y, across(n.High)-across(n.Low), bottom-y, colourNoise)
		}
		for _, f := range row.Figures {
			bar(&s, y, f)
			y += barHeight
		}
		fmt.Fprintf(&s, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-dasharray="3 2"/>`+"\n", across(1), bottom-barHeight*len(row.Figures)-2, across(1), bottom+2, colourInk)
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// bar draws one figure with its interval.
func bar(s *strings.Builder, y int, f BenchFigure) {
	colour := colourPeer
	switch f.Way {
	case wayGateway:
		colour = colourGateway
	case wayRules:
		colour = colourRules
	}
	middle := float64(y) + barHeight/2.0
	text(s, pictureLeft-8, y+barHeight-3, "end", "normal", wayTitle(f.Way))
	fmt.Fprintf(s, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", pictureLeft, y+1, across(f.Median.Median)-pictureLeft, barHeight-3, colour)
	fmt.Fprintf(s, `<path d="M%.1f %.1fH%.1fM%.1f %.1fv6M%.1f %.1fv6" stroke="%s" fill="none"/>`+"\n",
		across(f.Low), middle, across(f.High), across(f.Low), middle-3, across(f.High), middle-3, colourInk)
	text(s, pictureRight+12, y+barHeight-3, "start", "normal", f.text(UnitRatio))
}

// across is where a ratio lies; what is beyond the edge lies on it.
func across(ratio float64) float64 {
	return pictureLeft + (pictureRight-pictureLeft)*min(max(ratio, 0), pictureMost)/pictureMost
}

func text(s *strings.Builder, x, y int, anchor, weight, what string) {
	fmt.Fprintf(s, `<text x="%d" y="%d" text-anchor="%s" font-weight="%s">`, x, y, anchor, weight)
	_ = xml.EscapeText(s, []byte(what))
	s.WriteString("</text>\n")
}

// wayTitle is what a way is called in the picture.
func wayTitle(way string) string {
	if way == wayRules {
		return "as many rules"
	}
	if i := slices.IndexFunc(peers(), func(p *peer) bool { return p.name == way }); i >= 0 {
		return peers()[i].title
	}
	return way
}
