// gosmpp: a goroutine a bind submits until its window is full; the library reads, and answers deliver_sm itself.
package main

import (
	"encoding/json"
	"log"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/linxGnu/gosmpp"
	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
)

type moment struct {
	count int64
	at    time.Time
	cpu   float64
}

var sent, answered, reported, count int64
var over int32

func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func now() moment {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	cpu := float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
	return moment{atomic.LoadInt64(&count), time.Now(), cpu}
}

func bind(port, id string, window int, receipts int64) func() {
	room := make(chan struct{}, window)
	settings := gosmpp.Settings{
		ReadTimeout: 20 * time.Second,
		OnPDU: func(p pdu.PDU, _ bool) {
			switch each := p.(type) {
			case *pdu.SubmitSMResp:
				if each.CommandStatus != data.ESME_ROK {
					log.Fatal("refused: ", each.CommandStatus)
				}
				atomic.AddInt64(&answered, 1)
				atomic.AddInt64(&count, 1-receipts)
				<-room
			case *pdu.DeliverSM:
				atomic.AddInt64(&reported, 1)
				atomic.AddInt64(&count, receipts)
			}
		},
		OnSubmitError: func(_ pdu.PDU, err error) { log.Fatal(err) },
	}
	auth := gosmpp.Auth{SMSC: "127.0.0.1:" + port, SystemID: id}
	session, err := gosmpp.NewSession(gosmpp.TRXConnector(gosmpp.NonTLSDialer, auth), settings, 0)
	check(err)
	code, to := os.Args[8], os.Args[9]
	return func() {
		for atomic.LoadInt32(&over) == 0 {
			room <- struct{}{}
			submit := pdu.NewSubmitSM().(*pdu.SubmitSM)
			check(submit.SourceAddr.SetAddress("bank"))
			submit.DestAddr.SetTon(1)
			submit.DestAddr.SetNpi(1)
			check(submit.DestAddr.SetAddress(to))
			check(submit.Message.SetMessageWithEncoding(code, data.GSM7BIT))
			submit.RegisteredDelivery = byte(receipts)
			atomic.AddInt64(&sent, 1)
			check(session.Transceiver().Submit(submit))
		}
	}
}

func main() {
	binds, window, receipts := int(number(os.Args[3])), int(number(os.Args[4])), int64(number(os.Args[5]))
	var floods []func()
	for at := 0; at < binds; at++ {
		floods = append(floods, bind(os.Args[1], os.Args[2], window, receipts))
	}
	for _, flood := range floods {
		go flood()
	}
	time.Sleep(time.Duration(number(os.Args[6]) * 1e9))
	begun := now()
	time.Sleep(time.Duration(number(os.Args[7]) * 1e9))
	ended := now()
	atomic.StoreInt32(&over, 1)
	time.Sleep(20 * time.Millisecond)
	for atomic.LoadInt64(&answered) < sent || receipts*sent > atomic.LoadInt64(&reported) {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // the last acknowledgement follows the callback
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"messages": ended.count - begun.count, "seconds": ended.at.Sub(begun.at).Seconds(),
		"cpu_s": ended.cpu - begun.cpu, "sent": atomic.LoadInt64(&sent),
	}))
}
