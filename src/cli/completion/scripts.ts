/** What makes a shell ask the program itself what can follow: it then knows every command and flag that this version has. */

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** A line by which the program asks the shell to offer paths. */
export const pathsWanted = ':paths';

/** The script for each shell. Each gives the words up to the cursor to `docker-volume-ebs complete`, which answers a line for each. */
export const scripts: Readonly<Record<Shell, string>> = {
  bash: `# bash completion for docker-volume-ebs, as "docker-volume-ebs completion bash" prints it
_docker_volume_ebs() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    line=\${line%%$'\\t'*}
    if [ "$line" = ${pathsWanted} ]; then
      compopt -o default
    else
      COMPREPLY+=("$(printf %q "$line")")
    fi
  done < <("\${COMP_WORDS[0]}" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _docker_volume_ebs docker-volume-ebs
`,
  zsh: `#compdef docker-volume-ebs
# zsh completion for docker-volume-ebs, as "docker-volume-ebs completion zsh" prints it
_docker_volume_ebs() {
  local line
  local -a values texts
  for line in "\${(@f)$("\${words[1]}" complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == ${pathsWanted} ]]; then
      _files
    elif [[ -n $line ]]; then
      values+=("\${line%%$'\\t'*}")
      texts+=("\${line/$'\\t'/  }")
    fi
  done
  (( \${#values} )) && compadd -l -d texts -a values
}
if [[ $funcstack[1] == _docker-volume-ebs ]]; then
  _docker_volume_ebs "$@"
else
  compdef _docker_volume_ebs docker-volume-ebs
fi
`,
  fish: `# fish completion for docker-volume-ebs, as "docker-volume-ebs completion fish" prints it
function __docker_volume_ebs_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] complete -- $words[2..-1] 2>/dev/null)
        if test "$line" = ${pathsWanted}
            __fish_complete_path (commandline -ct)
        else
            printf '%s\\n' $line
        end
    end
end
complete -c docker-volume-ebs -f -a '(__docker_volume_ebs_complete)'
`,
};
