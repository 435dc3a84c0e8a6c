# What is in a LuaRocks tree: its files by name, and what the rocks say of themselves. Given: TREE.
LC_ALL=C
export LC_ALL
exec 2>/dev/null </dev/null
cd "$TREE" || exit 0
set --
rocks=lib/luarocks/rocks-5.1
for file in "$rocks/manifest" "$rocks"/*/*/rock_manifest "$rocks"/*/*/rock_namespace "$rocks"/*/*/*.rockspec; do
	[ -f "$file" ] && [ -r "$file" ] && set -- "$@" "./$file"
done
printf '@@pumice files\n'
for place in bin share/lua/5.1 lib/lua/5.1 "$rocks"; do
	[ -d "$place" ] && ls -ARp "./$place"
	printf '\n'
done
printf '@@pumice tar\n'
[ "$#" -eq 0 ] || exec tar -cf - "$@"
