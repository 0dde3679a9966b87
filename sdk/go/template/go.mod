module {{name}}

go 1.25

require github.com/bootsplice/bootsplice/sdk/go v0.0.0

replace github.com/bootsplice/bootsplice/sdk/go => ./sdk
