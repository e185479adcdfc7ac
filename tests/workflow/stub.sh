#!/bin/bash
# Stands in for `adagen` where a test is about the workflow: writes what it is asked for, at once.
stage=$1
while [ $# -gt 0 ]; do
    case $1 in
        --out)
            if [ "$stage" = sample ] || [ "$stage" = gather ]; then
                mkdir -p "$2" && echo "$stage" > "$2/about.json"
            else
                mkdir -p "$(dirname "$2")" && echo "$stage" > "$2"
            fi
            ;;
        --latex) # beside the CSV lie the settings of a table
            mkdir -p "$(dirname "$2")" && echo "$stage" | tee "$2" > "${2%.tex}.settings.json"
            ;;
        --png | --log) mkdir -p "$(dirname "$2")" && echo "$stage" > "$2" ;;
        --reward-state) # others read it
            if [ "$stage" = train ]; then
                mkdir -p "$(dirname "$2")" && echo "$stage" > "$2"
            fi
            ;;
        --out-dir) folder=$2 && mkdir -p "$folder" ;;
        */samples/*)
            if [ "$stage" = evaluate ]; then
                echo '{"fid": 1}' > "$folder/$(basename "$1").json"
            fi
            ;;
    esac
    shift
done
