from adagen.cli import main

main()
