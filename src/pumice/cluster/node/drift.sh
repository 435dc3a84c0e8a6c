# What is in a generation now. Given: TREE GENERATION. The digests that its files shall have come on stdin.
LC_ALL=C
export LC_ALL
exec 2>/dev/null
place=$TREE/generations/$GENERATION
cd "$place" || exit 0
printf '@@pumice sums\n'
sha256sum -c -
printf '@@pumice files\n'
ls -ARp .
printf '@@pumice end\n'
