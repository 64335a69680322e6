# SPDX-License-Identifier: MIT
#
# Writes a C header with the files given as arguments in it, so that a program
# needs none of them at run time:
#	awk [-v table=NAME -v from=FOLDER] -f embed.awk FILE... >sql_text.h
# Each row of the table is the file's name (without its folder) and its text.

BEGIN {
	if (table == "") {
		table = "sql_texts"
		from = "sql/"
	}
	print "/* Made by build-aux/embed.awk; edit the files under " from " instead. */"
	print "static const struct {"
	print "\tconst char *name;"
	print "\tconst char *text;"
	print "} " table "[] = {"
}

FNR == 1 {
	if (NR > 1)
		print "\t},"
	name = FILENAME
	sub(/^.*\//, "", name)
	printf "\t{\"%s\",\n", name
}

{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\"")
	printf "\t \"%s\\n\"\n", $0
}

END {
	print "\t},"
	print "};"
}
