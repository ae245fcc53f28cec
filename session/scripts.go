package session

import (
	_ "embed"

	"github.com/convkit/rediskit/internal/sender"
)

//go:embed session.lua
var preludeLua string

//go:embed create.lua
var createLua string

//go:embed put.lua
var putLua string

//go:embed touch.lua
var touchLua string

//go:embed update.lua
var updateLua string

//go:embed transition.lua
var transitionLua string

//go:embed delete.lua
var deleteLua string

// Every script but that of Touch begins with session.lua.
var (
	createScript     = sender.NewScript(preludeLua + createLua)
	putScript        = sender.NewScript(preludeLua + putLua)
	touchScript      = sender.NewScript(touchLua)
	updateScript     = sender.NewScript(preludeLua + updateLua)
	transitionScript = sender.NewScript(preludeLua + transitionLua)
	deleteScript     = sender.NewScript(preludeLua + deleteLua)
)
