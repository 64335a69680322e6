# SPDX-License-Identifier: MIT
#
# Writes the list of gpt-load.env(5) from .env.example, so that the two cannot differ:
#	awk -f envman.awk .env.example
# "# --- title ---" begins a section; a paragraph of comments belongs to the
# "#NAME=default" lines that follow it.

function plain(text) {
	gsub(/\\/, "\\e", text)
	if (text ~ /^[.']/)
		text = "\\&" text
	return text
}

# The words of a sentence each begin a line of their own.
function sentences(text) {
	gsub(/\. /, ".\n", text)
	return text
}

/^# --- .* ---$/ {
	title = $0
	gsub(/^# --- | ---$/, "", title)
	if (listing)
		print ".El"
	print ".Ss " toupper(substr(title, 1, 1)) substr(title, 2)
	print ".Bl -tag -width Ds"
	listing = 1
	text = ""
	named = 0
	next
}

!listing { next }

/^#[A-Z][A-Z0-9_]*=/ {
	name = substr($0, 2, index($0, "=") - 2)
	value = substr($0, index($0, "=") + 1)
	printf ".It Ev %s", name
	if (value != "")
		printf " Pq default: Ql %s", plain(value)
	printf "\n"
	named = 1
	next
}

/^#( |$)/ {
	if (named) {
		if (text != "")
			print sentences(plain(text))
		text = ""
		named = 0
	}
	line = substr($0, 3)
	text = text (text == "" ? "" : " ") line
	next
}

/^$/ {
	if (named && text != "")
		print sentences(plain(text))
	if (named)
		text = ""
	named = 0
}

END {
	if (named && text != "")
		print sentences(plain(text))
	if (listing)
		print ".El"
}
