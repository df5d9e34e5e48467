# SPDX-License-Identifier: Apache-2.0
#
# Shows Doxygen the guides with the anchors that other viewers make of headings: `## Lazy maps` in
# guide.md is `guide-lazy-maps`, and links to `guide.md#lazy-maps` lead there. A link out of docs/
# becomes plain text.
function slug(text)
{
    text = tolower(text)
    gsub(/[^a-z0-9_ -]/, "", text)
    gsub(/ /, "-", text)
    return text
}
FNR == 1 {
    page = FILENAME
    gsub(/.*\/|\.md$/, "", page)
}
/^ *```/ {
    fenced = !fenced
}
fenced {
    print
    next
}
/^##+ / {
    print $0 " {#" page "-" slug(substr($0, index($0, " ") + 1)) "}"
    next
}
{
    line = $0
    while (match(line, /\[[^]]*\]\(\.\.\/[^)]*\)/)) {
        text = substr(line, RSTART + 1, RLENGTH)
        text = substr(text, 1, index(text, "]") - 1)
        line = substr(line, 1, RSTART - 1) text substr(line, RSTART + RLENGTH)
    }
    gsub(/\]\(#/, "](#" page "-", line)
    while (match(line, /\]\([a-z-]+\.md#/)) {
        target = substr(line, RSTART + 2, RLENGTH - 6)
        line = substr(line, 1, RSTART + 1) "#" target "-" substr(line, RSTART + RLENGTH)
    }
    print line
}
