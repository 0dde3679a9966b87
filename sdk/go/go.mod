module github.com/bootsplice/bootsplice/sdk/go

go 1.25
