"""One sentence in fourteen languages, to see what a tokenizer charges for each."""

SENTENCES = {
    "English": "The old woman sat by the fire and told the children a story.",
    "German": "Die alte Frau saß am Feuer und erzählte den Kindern eine Geschichte.",
    "French": "La vieille femme était assise près du feu et racontait une histoire aux enfants.",
    "Spanish": "La anciana estaba sentada junto al fuego y contaba un cuento a los niños.",
    "Finnish": "Vanha nainen istui tulen ääressä ja kertoi lapsille tarinan.",
    "Turkish": "Yaşlı kadın ateşin yanında oturdu ve çocuklara bir hikâye anlattı.",
    "Russian": "Старая женщина сидела у огня и рассказывала детям сказку.",
    "Greek": "Η γριά γυναίκα καθόταν δίπλα στη φωτιά και έλεγε στα παιδιά μια ιστορία.",
    "Arabic": "جلست المرأة العجوز بجانب النار وحكت للأطفال قصة.",
    "Hindi": "बूढ़ी औरत ने आग के पास बैठकर बच्चों को एक कहानी सुनाई।",
    "Thai": "หญิงชรานั่งข้างกองไฟและเล่านิทานให้เด็กๆ ฟัง",
    "Chinese": "老奶奶坐在火边给孩子们讲故事。",
    "Japanese": "おばあさんは火のそばに座って、子どもたちに物語を話しました。",
    "Korean": "할머니는 불 옆에 앉아 아이들에게 이야기를 들려주었다.",
}
