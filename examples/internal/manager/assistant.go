package manager

import (
	"context"
	"hash/fnv"
	"time"
)

// parrot is an assistant for demonstrations: it thinks for a while, then says
// something that fits anything. The same words get the same answer.
type parrot struct{ thinks time.Duration }

var phrases = []string{
	"Pronto, anotado. Quer que eu faça mais alguma coisa?",
	"Deixa comigo: aviso assim que souber.",
	"Boa pergunta! Achei três opções; quer ouvir a primeira?",
	"Feito. Se mudar de ideia, é só falar.",
	"Claro. Começo agora mesmo.",
}

func (p parrot) Answer(ctx context.Context, said string) (string, error) {
	select {
	case <-time.After(p.thinks):
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	h := fnv.New32a()
	h.Write([]byte(said))
	return phrases[h.Sum32()%uint32(len(phrases))], nil
}
