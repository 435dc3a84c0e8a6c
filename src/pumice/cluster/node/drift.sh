# What is in a generation now. Given: TREE GENERATION. The digests that its files shall have come on stdin.
LC_ALL=C
export LC_ALL
exec 2>/dev/null
place=$TREE/generations/$GENERATION
cd "$place" || exit 0
printf '@@pumice begin 1\n'
sha256sum -c - | while IFS= read -r line; do
	case $line in
	*': OK') ;;
	*) printf '@@pumice bad %s\n' "$line" ;;
	esac
done
ls -ARp . | while IFS= read -r line; do printf '@@pumice ls %s\n' "$line"; done
printf '@@pumice end\n'
