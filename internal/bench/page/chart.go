package page

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// Measures of a chart, in pixels.
const (
	width     = 760
	left      = 220 // of the bars
	right     = 190 // for their labels
	barHeight = 14
	barGap    = 3
	rowGap    = 14
	top       = 44
)

// style has both colour schemes. The chart has a background of its own, so that it can be
// read on any page.
const style = `
.ground { fill: #ffffff; stroke: #d1d9e0 }
text { fill: #1f2328; font: 12px system-ui, sans-serif }
.title { font-weight: 600; font-size: 13px }
.own { fill: #0969da } .peer { fill: #8c959f } .floor { fill: #d1d9e0 }
@media (prefers-color-scheme: dark) {
  .ground { fill: #0d1117; stroke: #3d444d }
  text { fill: #f0f6fc }
  .own { fill: #4493f8 } .peer { fill: #7d8590 } .floor { fill: #3d444d }
}
`

// bars draws a chart with the results of all contestants except those in without, with one
// bar for each level of the contest.
func (r *results) bars(title, name, unit string, without ...string) (string, error) {
	contests := r.within(name)
	if len(contests) == 0 {
		return "", fmt.Errorf("no contest is named %s", name)
	}
	drawn := slices.DeleteFunc(slices.Clone(contests[0].by), func(by string) bool { return slices.Contains(without, by) })
	longest := 0.0
	for _, c := range contests {
		for _, by := range drawn {
			longest = max(longest, c.median(by, unit))
		}
	}
	var b strings.Builder
	y := top
	for _, by := range drawn {
		class := "peer"
		if isOwn(by) {
			class = "own"
		} else if isFloor(by) {
			class = "floor"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n",
			left-10, y+11, html.EscapeString(strings.Trim(label(by), "*")))
		for _, c := range contests {
			value := c.median(by, unit)
			length := value / longest * (width - left - right)
			_, level := level(c.name)
			text := quantity(value, unit)
			if level != "" {
				text += ", " + levelLabel(level)
			}
			fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`, class, left, y, max(length, 1), barHeight)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", left+length+6, y+11, html.EscapeString(text))
			y += barHeight + barGap
		}
		y += rowGap
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img">
<title>%[3]s</title>
<style>%[4]s</style>
<rect class="ground" x="0.5" y="0.5" width="%[5]d" height="%[6]d" rx="6"/>
<text class="title" x="16" y="26">%[3]s</text>
%[7]s</svg>
`, width, y, html.EscapeString(title), style, width-1, y-1, b.String()), nil
}
